"""What is too heavy for the server: a desk with processes beside it, what they answered, and how pages wait."""
