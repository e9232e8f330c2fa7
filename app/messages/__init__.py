"""Messages: their order, and the references that ground them."""
