"""The importer: scales, blocks, small models, ONNX files, MiniLM."""
