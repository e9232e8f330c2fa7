"""Sessions: a title, a domain, a few words of metadata, and a count of what is in them."""
