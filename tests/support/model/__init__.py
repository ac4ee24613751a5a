"""A model of claim, settle, rescue, fence, bell and replay, small enough that all of its states can be visited."""
