"""How a record is reached from elsewhere: the HTTP application over its operations, and who may ask."""
