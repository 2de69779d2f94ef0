"""A published store as the files that the field's public trainers read. Nothing is computed anew but the size of pictures."""
