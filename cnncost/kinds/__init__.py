"""What each layer is, mathematically: one frozen dataclass per kind, one file per family, one registry."""
