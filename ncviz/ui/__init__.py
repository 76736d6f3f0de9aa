"""The app: shell, controls, loaders, components, page bodies. Streamlit here and above alone."""
