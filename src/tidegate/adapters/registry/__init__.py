"""Image registries and builders."""
