"""Where the work of stages is done: one module a kind of job. What a stage makes of the results is pipeline's."""
