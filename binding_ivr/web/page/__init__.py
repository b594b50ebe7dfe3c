"""The pages: *Phone Number Binding* and the administrator's. They decide nothing."""
