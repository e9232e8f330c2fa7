"""How requests are read and answered: flask-smorest, schema fields, JSON, ETags, problems."""
