"""Files: untrusted ones, whole or absent ones, locks, images and arrays."""
