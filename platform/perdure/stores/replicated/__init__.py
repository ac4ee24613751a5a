"""Several stores behind one."""
