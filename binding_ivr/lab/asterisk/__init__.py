"""An instance of Asterisk: where it comes from, its configuration and its process. It plays no phone of a test."""
