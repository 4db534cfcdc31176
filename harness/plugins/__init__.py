"""What plugins bring: found, loaded, held to the contract, and known by their files."""
