"""A self-hosted SMTP AUTH clients report."""

__version__ = "0.1.0"
