"""What attacks are made of: asking and counting, keeping the best, cutting rows, steps that papers share."""
