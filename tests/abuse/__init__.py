"""An adversary simulation against running services and a lab: `python -m tests.abuse`, explained in docs/abuse.md."""
