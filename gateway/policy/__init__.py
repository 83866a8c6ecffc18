"""Policy files: their schema, the CEL seam, the compiled book. Quiet."""
