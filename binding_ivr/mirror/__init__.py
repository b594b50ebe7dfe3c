"""Keeps AstDB of this node's Asterisk equal to PostgreSQL. It decides no trust."""
