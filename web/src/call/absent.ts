/**
 * Stands in for the vendor library behind the SDK's default media manager (see vite.config.ts): this
 * page has its own. Whoever calls it by mistake gets an error instead of a request to the network.
 */
const absent: Record<string, never> = new Proxy(
  {},
  {
    get() {
      throw new Error("this page uses its own media manager");
    },
  },
);
export default absent;
