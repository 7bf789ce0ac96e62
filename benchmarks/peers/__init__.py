"""The engines that run the same network elsewhere, beside ours."""
