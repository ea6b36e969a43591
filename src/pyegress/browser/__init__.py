"""A web page as a source of pictures and sound: Chromium in an X display and with a sound daemon of its own."""
