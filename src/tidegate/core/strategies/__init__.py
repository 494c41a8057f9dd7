"""One small pure module a strategy: where a rollout goes next and what shape the world should have meanwhile."""
