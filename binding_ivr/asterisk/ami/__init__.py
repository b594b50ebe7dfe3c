"""AMI: one connection for AstDB, desk notices and user events."""
