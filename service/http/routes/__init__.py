"""The API's operations, by what they are about."""
