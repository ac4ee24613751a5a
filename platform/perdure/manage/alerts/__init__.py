"""``app.alerts``: looking for what people should know, and telling them."""
