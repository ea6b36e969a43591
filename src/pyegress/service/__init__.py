"""The service behind both front doors: egresses of this node, their store, and who is told of them."""
