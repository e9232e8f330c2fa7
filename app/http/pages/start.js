// Shows only the status and title of each error until it is clicked. With the examples of all errors, which differ
// little, an operation would be several screens high.
const FoldErrors = () => ({
  wrapComponents: {
    response: (Original, { React }) => (props) => {
      const [open, setOpen] = React.useState(false);
      if (open || !(Number(props.code) >= 400)) return React.createElement(Original, props);
      const title = React.createElement("button", { onClick: () => setOpen(true) }, props.response.get("description"));
      return React.createElement("tr", { className: "response folded", "data-code": props.code },
        React.createElement("td", { className: "response-col_status" }, props.code),
        React.createElement("td", { className: "response-col_description", colSpan: 2 }, title));
    },
  },
});

window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [FoldErrors],
  persistAuthorization: true,
  displayRequestDuration: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
});

const button = document.getElementById("get-token");
button?.addEventListener("click", async () => {
  const answer = await fetch("dev-token", { method: "POST" });
  if (!answer.ok) {
    button.textContent = `No token: ${answer.status}. Tokens are only available on this machine.`;
    return;
  }
  window.ui.preauthorizeApiKey("bearer", (await answer.json()).token);
  button.textContent = "You are alice of acme for one day. Get another token";
});
