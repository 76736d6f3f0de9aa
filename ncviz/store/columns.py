"""The columns that result tables must have, and of which kind each is."""

COLLAPSE = {
    "layer": "text",
    "metric": "text",
    "set": "text",
    "value": "number",
    "samples": "integer",
}
DETECTION = {
    "layer": "text",
    "detector": "text",
    "set": "text",
    "group": "text",
    "auroc": "number",
    "fpr95": "number",
    "id_samples": "integer",
    "ood_samples": "integer",
}
MEANS = {
    "layer": "text",
    "detector": "text",
    "group": "text",
    "sets": "integer",
    "auroc": "number",
    "fpr95": "number",
}
MISCLASSIFICATION = {
    "layer": "text",
    "detector": "text",
    "misclassification_aurc": "number",
    "misclassification_augrc": "number",
    "samples": "integer",
    "errors": "integer",
}
COMPARISONS = {
    "layer": "text",
    "metric": "text",
    "set": "text",
    "group": "text",
    "detector": "text",
    "best": "text",
    "difference": "number",
    "low": "number",
    "high": "number",
    "p_value": "number",
    "p_corrected": "number",
    "tied": "flag",
}
CALIBRATION = {
    "temperature": "number",
    "accuracy": "number",
    "confidence": "number",
    "ece": "number",
    "nll": "number",
    "ece_scaled": "number",
    "nll_scaled": "number",
    "samples": "integer",
}
RELIABILITY = {
    "scaled": "flag",
    "low": "number",
    "high": "number",
    "confidence": "number",
    "accuracy": "number",
    "count": "integer",
}
TEMPERATURE = {
    "detector": "text",
    "set": "text",
    "temperature": "number",
    "auroc": "number",
    "fpr95": "number",
}
FITTED = {
    "layer": "text",
    "detector": "text",
    "samples": "integer",
    "parameters": "text",
    "left_out": "text",
}
SENSITIVITY = {
    "layer": "text",
    "detector": "text",
    "parameter": "text",
    "value": "number",
    "is_default": "flag",
    "set": "text",
    "group": "text",
    "auroc": "number",
    "fpr95": "number",
    "rank": "number",
}
DUPLICATES = {"set": "text", "duplicates": "integer", "samples": "integer"}
TRANSFER = {
    "layer": "text",
    "set": "text",
    "probe_error": "number",
    "ncm_error": "number",
    "train_samples": "integer",
    "test_samples": "integer",
}
