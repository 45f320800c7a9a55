"""The methods of the services: convert, call a use case, convert back."""
