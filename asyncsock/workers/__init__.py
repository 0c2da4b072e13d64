"""Several processes of one host as one server: how a request reaches the process that has its session."""
