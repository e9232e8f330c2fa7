"""Reading requests and building responses: flask-smorest, schema fields, JSON, ETags, problems."""
