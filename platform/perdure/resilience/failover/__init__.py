"""Failover between services that do the same."""
