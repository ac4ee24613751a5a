"""What supervisors do, one duty a file. Any number of supervisors share the work; none of them is needed for long."""
