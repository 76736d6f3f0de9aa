// A line of words. The pointer or the focus on one opens its meaning; Escape closes it. Texts only
// ever become text (textContent), never markup.

const LINGER_MS = 200; // the pointer may cross the gap between a word and its meaning

export default function ({ data, parentElement }) {
  // Drawn anew, a word would lose the focus: the line of a page stays as it is.
  const wanted = JSON.stringify(data);
  if (parentElement.ncvizTerms === wanted) return;
  parentElement.ncvizTerms = wanted;
  parentElement.querySelector(".line")?.remove();
  const line = element("div", "line", parentElement);
  element("span", "label", line, `${data.label}:`);
  data.terms.forEach((term, at) => draw(line, term, at));
}

function draw(line, term, at) {
  const holder = element("span", "term", line);
  const word = element("button", "", holder, term.name);
  word.type = "button";
  const meaning = element("span", "meaning", holder);
  meaning.id = `meaning-${at}`;
  meaning.setAttribute("role", "tooltip");
  word.setAttribute("aria-describedby", meaning.id);
  element("b", "", meaning, term.name);
  meaning.append(`${term.definition} `);
  const more = element("a", "", meaning, "In the glossary");
  more.href = term.link;
  more.target = "_blank"; // this page's state stays where it is
  more.setAttribute("aria-label", `${term.name} in the glossary, in a new tab`);

  let leaving;
  const open = () => {
    clearTimeout(leaving);
    for (const other of line.querySelectorAll(".open")) other.classList.remove("open");
    holder.classList.add("open");
  };
  const close = () => holder.classList.remove("open");
  holder.onpointerenter = open;
  holder.onpointerleave = () => {
    leaving = setTimeout(close, LINGER_MS);
  };
  word.onclick = open;
  holder.addEventListener("focusin", open);
  holder.addEventListener("focusout", (event) => {
    if (!holder.contains(event.relatedTarget)) close();
  });
  holder.onkeydown = (event) => {
    if (event.key === "Escape") close();
  };
}

function element(kind, name, parent, text) {
  const made = document.createElement(kind);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}
