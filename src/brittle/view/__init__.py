"""The explorer in the browser: a small server of this machine, which reads run directories and tries attacks."""
