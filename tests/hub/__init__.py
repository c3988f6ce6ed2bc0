"""Serve small tables and models under their true hub ids on the loopback interface."""
