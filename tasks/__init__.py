"""Tasks, one file per dataset family; a module is imported, then its `register()` called."""
