"""What the commands show to people: tables, details and progress."""
