//! Every plausible reading of a request path (ARCHITECTURE.md, "Paths are judged in every plausible reading").
