"""A reference agent server that plays scripts in every protocol, right by default and wrong on request."""
