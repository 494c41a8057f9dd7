"""tidegate.yaml in, model.spec out, with file:line:key errors; JSON Schema and reference docs.

Never touches an engine or a store.
"""
