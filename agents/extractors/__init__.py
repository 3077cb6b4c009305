"""What finds facts in messages: rules, or a model behind a back-end."""
