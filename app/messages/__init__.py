"""Messages, with the references that ground them, and their order."""
