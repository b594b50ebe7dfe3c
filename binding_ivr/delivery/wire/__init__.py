"""The clients that delivery speaks by: HTTP and mail. What is told to whom, and when, is decided above."""
