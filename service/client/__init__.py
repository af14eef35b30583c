"""The API's client: what the command line asks a server with."""
