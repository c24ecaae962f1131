"""Tasks: one file per dataset family. Importing a module and calling its `register()` registers it."""
