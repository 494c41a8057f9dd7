"""Rules that people bring along, exact: Kayenta's judge, Argo Rollouts' metrics, Flagger's checks.

Each module states the semantics and where they were read. Where those are unsafe (no data passes, or fails), our
reading is the default and theirs is behind `compat=True`. Never reads a metric source; never decides a rollout.
"""
