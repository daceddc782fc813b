"""Flow cytometry: compensation, scales and gates on the events of FCS files; no study knowledge."""
