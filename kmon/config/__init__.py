"""Settings: what each may be (``settings``), where its value came from (``sources``), and what projects may do."""
