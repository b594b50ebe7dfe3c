"""What is wrong with an installation, and the line to change. It changes nothing that lasts."""
